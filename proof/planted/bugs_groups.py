"""Bugs of groups: units of several calls in one transaction that does not treat each as alone."""
