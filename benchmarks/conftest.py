"""Measured files import their neighbours by plain names, as they do when they are run as scripts."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
