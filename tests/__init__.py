"""Tests of the harness; a package so that tests share builders."""
