"""The studio: a local page that draws from a model, and the JSON API beneath it.

| file | what |
|---|---|
| `app.py` | the application: routes, errors, the page's files |
| `schema.py` | what requests may ask and what answers hold, with bounds |
| `models.py` | the models on show, and measuring batch statistics aside |
| `worker.py` | one thread for the models, a bounded queue, cancelled work |
| `guard.py` | who may ask: hosts, origins, sizes, headers |
| `reproduce.py` | the command and the Python that draw what is on the screen |
| `static/` | the page: one HTML file, one stylesheet, plain modules |

Deliberately absent: accounts, a list of jobs, anything stored. The state of the screen is in the page.
"""
