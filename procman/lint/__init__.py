"""What is wrong with files of supervisord and systemd that other people wrote: pure rules over what stands in them."""
