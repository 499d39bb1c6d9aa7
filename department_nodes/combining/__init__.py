"""The lead department's need model: combining evidence per household, explaining and evaluating it."""
