"""Amazon SQS: the queue of the services, its dead letters, and the sender of the Lambda."""
