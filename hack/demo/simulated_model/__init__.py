"""A stand-in for a language model: answers agents' prompts by templates, in the providers' dialects."""
