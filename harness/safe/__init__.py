"""The two walls to the outside: the only module that writes files, and the only one that escapes text."""
