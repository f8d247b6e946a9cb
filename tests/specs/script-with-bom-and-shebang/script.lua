#!/usr/bin/env llmspell
print('second line')
error('third')
