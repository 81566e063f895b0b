"""`agentflow test`: cases from files, run on the real engine with models, tools, people and time as they say."""
