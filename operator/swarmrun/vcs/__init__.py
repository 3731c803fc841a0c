"""Version control: git as a bounded subprocess, commit trailers, credentials, the merger's mirror."""
