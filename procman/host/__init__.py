"""The host as both backends need it: processes through psutil, systemctl, the journal, log files and unit files."""
