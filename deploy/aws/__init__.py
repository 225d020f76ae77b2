"""The AWS template, and the commands that build, check and try what it deploys."""
