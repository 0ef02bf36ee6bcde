"""Commands that stop calls and let them go on: pause, trial, quarantine; what is due when is not decided here."""
