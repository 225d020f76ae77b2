"""The services, one file each: parse, call one flow, respond."""
