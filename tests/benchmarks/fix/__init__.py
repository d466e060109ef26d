"""The experiment behind ``harness fix``: arms x seeds on a suite that none of them was written for."""
