"""Loads a file as a module: a program without a suffix, or the conftest of other tests."""

import importlib.machinery
import importlib.util


def load_module(name, path):
    spec = importlib.util.spec_from_loader(name, importlib.machinery.SourceFileLoader(name, str(path)))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
