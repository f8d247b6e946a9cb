"""The extensions. All else is in pyproject.toml.

An extension that cannot be built never fails the install: the pure twin serves in its place, and the reason can be
read with `llmspell doctor`.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
SPEEDUPS = "src/llmspell/_speedups"
SAME = (  # whose compiled twin is made of the pure one's source
    "_media",
    *(f"_media_{part}" for part in ("audio", "avi", "image", "matroska", "mp4", "ogg", "svg", "window")),
    "_retry",
)


def extensions() -> list[Extension]:
    if os.environ.get("LLMSPELL_NO_EXTENSIONS"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = []
    here = HERE / SPEEDUPS
    for source in [*sorted(here.glob("*_c.pyx")), *(here / f"{stem}_py.py" for stem in SAME)]:
        stem = source.stem.removesuffix("_py").removesuffix("_c")
        parts = sorted(source.parent.glob("lua_*.[ph]*")) if stem == "_lua" else []
        # `.ci/traced` asks which lines of them are run. What Lua calls must not be traced: `_lua_c.pyx` says so, too.
        traced = bool(os.environ.get("LLMSPELL_TRACED")) and stem != "_lua"
        module = Extension(
            f"llmspell._speedups.{stem}_c",
            [source.relative_to(HERE).as_posix()],
            depends=[part.relative_to(HERE).as_posix() for part in parts],
            define_macros=[("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if traced else [],
            extra_compile_args=[] if os.name == "nt" else ["-O2"],
            optional=True,
        )
        try:
            directives = {"language_level": 3, "annotation_typing": False, "linetrace": traced}
            modules += cythonize([module], compiler_directives=directives, force=traced)
        except Exception as error:  # of a Cython that is too old, say
            print(f"warning: {module.name} was not built, its pure twin serves in its place: {error}")
    return modules


class OptionalBuild(build_ext):
    """Builds what can be built. setuptools' own `optional` lets a missing compiler fail the install."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or True  # on all cores: there are a dozen of them

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            self.warn(f"{ext.name} was not built, its pure twin serves in its place: {error}")

    def copy_extensions_to_source(self) -> None:
        """For an editable install, which would fail at the first extension that is not there."""
        everything, library = self.extensions, Path(self.build_lib)
        self.extensions = [ext for ext in everything if (library / self.get_ext_filename(ext.name)).exists()]
        super().copy_extensions_to_source()
        self.extensions = everything


# Windows needs an installer's .exe; elsewhere the command is a script of our own, which starts sooner.
if os.name == "nt":
    command = {"entry_points": {"console_scripts": ["llmspell = llmspell.cli.main:entry"]}}
else:
    command = {"scripts": ["scripts/llmspell"]}

setup(ext_modules=extensions(), cmdclass={"build_ext": OptionalBuild}, **command)
