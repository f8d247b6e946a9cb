# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: nonecheck=False, auto_pickle=False, emit_code_comments=False, profile=False, linetrace=False
# cython: binding=False, embedsignature=False, annotation_typing=False
"""The compiled twin of the Lua engine: Lua 5.4 by its own C API, out of the library that lupa brings.

The seam is that of `_lua_py.py`, whose docstring says what each call means; `lua_half/` holds what both say in Lua.
Nothing of lupa's Python side is used: the states are our own, so no Python object is ever near a script.

    lua_memory.pxi      blocks and their limit           lua_push.pxi    Python → Lua
    lua_state.pxi       ticks, hooks, stopping           lua_pull.pxi    Lua → Python
    lua_coroutines.pxi  coroutine, pcall, xpcall         lua_match.pxi   find, match, gmatch, gsub
    lua_calls.pxi       host calls and fibers            lua_python.pxi  Python's work while Lua runs
    lua_open.pxi        finding the library, timers, making a state
    lua_errors.pxi      errors that end a fiber          lua_engine.pxi  the engine itself

What Lua or a signal calls is `noexcept nogil` and owns nothing; a test reads the C that comes of it. Source:
CYTHON_BRIDGE.md, "Rules".
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport PyObject
from libc.math cimport INFINITY
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset, strstr
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlopen, dlsym

from llmspell._speedups.lua_api cimport *

import _signal
import os
import sys
from _thread import _local

from llmspell._speedups._lua_shared import (
    CALL, DONE, ERROR, GONE, KEPT_ERRORS, MEMORY_GRACE, PREEMPTED, STOPPED, UNFIT, LoadError, code_of,
    let_values_go, lua_half,
)

__all__ = ["CALL", "DONE", "ERROR", "GONE", "PREEMPTED", "STOPPED", "UNFIT", "Engine", "LoadError", "lua_version"]

include "lua_names.pxi"

cdef extern from *:
    """
    /* CPython counts the changes of a dict until 3.12; where it does not, 0 is told, and what is in it is compared. */
    #if PY_VERSION_HEX < 0x030D0000
    static inline unsigned long long llmspell_dict_version(PyObject *dict) {
        PY_UINT64_T version;
        memcpy(&version, (char *)dict + offsetof(PyDictObject, ma_version_tag), sizeof version);
        return version;
    }
    #else
    static inline unsigned long long llmspell_dict_version(PyObject *dict) { return 0; }
    #endif
    """
    uint64_t dict_version "llmspell_dict_version"(PyObject*)

cdef extern from "Python.h" nogil:
    """
    #ifdef Py_GIL_DISABLED
    #error "the compiled Lua engine needs the global interpreter lock; the pure one serves without it"
    #endif
    """
    # The C API as seen from functions that hold the GIL and no reference: pointers in, pointers out.
    PyObject* NONE "Py_None"
    PyObject* TRUE "Py_True"
    bint is_str "PyUnicode_CheckExact"(PyObject*)
    bint is_bytes "PyBytes_CheckExact"(PyObject*)
    bint is_int "PyLong_CheckExact"(PyObject*)
    bint is_float "PyFloat_CheckExact"(PyObject*)
    bint is_bool "PyBool_Check"(PyObject*)
    bint is_dict "PyDict_CheckExact"(PyObject*)
    bint is_list "PyList_CheckExact"(PyObject*)
    bint is_tuple "PyTuple_CheckExact"(PyObject*)
    bint str_is_ascii "PyUnicode_IS_COMPACT_ASCII"(PyObject*)
    void* str_data "PyUnicode_1BYTE_DATA"(PyObject*)
    Py_ssize_t str_len "PyUnicode_GET_LENGTH"(PyObject*)
    const char* str_utf8 "PyUnicode_AsUTF8AndSize"(PyObject*, Py_ssize_t*)
    char* bytes_data "PyBytes_AS_STRING"(PyObject*)
    Py_ssize_t bytes_len "PyBytes_GET_SIZE"(PyObject*)
    long long int_value "PyLong_AsLongLongAndOverflow"(PyObject*, int*)
    double int_as_double "PyLong_AsDouble"(PyObject*)
    double float_value "PyFloat_AS_DOUBLE"(PyObject*)
    Py_ssize_t dict_len "PyDict_GET_SIZE"(PyObject*)
    bint dict_next "PyDict_Next"(PyObject*, Py_ssize_t*, PyObject**, PyObject**)
    Py_ssize_t seq_len "PySequence_Fast_GET_SIZE"(PyObject*)
    PyObject* seq_item "PySequence_Fast_GET_ITEM"(PyObject*, Py_ssize_t)
    Py_ssize_t tuple_len "PyTuple_GET_SIZE"(PyObject*)
    PyObject* tuple_item "PyTuple_GET_ITEM"(PyObject*, Py_ssize_t)
    void err_clear "PyErr_Clear"()
    PyObject* err_occurred "PyErr_Occurred"()
    void* save_thread "PyEval_SaveThread"()
    void restore_thread "PyEval_RestoreThread"(void*)
    int PyThread_tss_create(Py_tss_t*)
    void* PyThread_tss_get(Py_tss_t*)
    int PyThread_tss_set(Py_tss_t*, void*)
    ctypedef struct TypeHead "PyTypeObject":
        const char* tp_name
    TypeHead* head_of "Py_TYPE"(PyObject*)

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1
    str PyUnicode_DecodeUTF8(const char*, Py_ssize_t, const char*)

cdef extern from "lua_timer.h" nogil:
    bint TIMERS "LLMSPELL_TIMERS"
    ctypedef void* timer_id "llmspell_timer"
    int timer_start "llmspell_timer_start"(timer_id*, void*, void (*)(void*) noexcept nogil)
    void timer_shoot "llmspell_timer_shoot"(timer_id, long)
    void timer_end "llmspell_timer_end"(timer_id)
    void fence "llmspell_fence"()  # what stands before it is done before a signal is taken after it

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID
    int clock_gettime(int, timespec*)

include "lua_memory.pxi"
include "lua_state.pxi"
include "lua_push.pxi"
include "lua_pull.pxi"
include "lua_coroutines.pxi"
include "lua_calls.pxi"
include "lua_match.pxi"
include "lua_python.pxi"
include "lua_open.pxi"
include "lua_errors.pxi"
include "lua_engine.pxi"
