"""What both backends ask of this host: processes through psutil, systemctl, the journal, log files, unit files."""
