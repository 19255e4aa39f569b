"""Ways into an RTC channel: one file each, behind the Protocol of `channel`."""
