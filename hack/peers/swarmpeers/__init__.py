"""Other Python queues on Redis, driven from outside: what a stale worker does there, and their speed."""
