"""The HTTP services: routes, request and response models, keys, problems, limits, health and the server."""
