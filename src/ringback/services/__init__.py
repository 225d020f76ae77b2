"""The processes, one file each: parse, call one flow, answer."""
