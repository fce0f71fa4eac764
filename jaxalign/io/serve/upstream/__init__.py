"""An OpenAI-compatible server over whatever writes answers: the HTTP layer of simulated models and of the engine."""
