"""A stand-in for a language model: answers the agents' prompts by templates, over the providers' HTTP dialects."""
