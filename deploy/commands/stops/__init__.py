"""Commands that stop calls or let them go on: pause, trial, quarantine; `shared.operations` stores them."""
