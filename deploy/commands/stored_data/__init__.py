"""Commands for what is stored: erase, export, retention; the steps: `shared.erasure`, `shared.retention`."""
