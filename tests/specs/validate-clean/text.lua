return { question = "A haiku, please." }
