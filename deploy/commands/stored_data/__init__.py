"""Commands for what is stored: erase, export, retention; the steps are `shared.erasure` and `shared.retention`."""
