"""Mutation testing: change the code in one place at a time and see whether the tests notice.

`operators` finds the mutants of a module, `targets` says which packages are mutated and which tests judge
them, `workspace` is the copy of the source tree in which mutants live, `trial` runs the tests against one.
"""
