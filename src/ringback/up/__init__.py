"""The whole system on one machine: embedded PostgreSQL, the emulators as child processes, every service in one."""
