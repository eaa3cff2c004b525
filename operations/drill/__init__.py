"""The recovery drill: five disasters, each followed by the command that an engineer would use, and measured.

The drill has its own rehearsal and its own stack, so that it can hit nothing else. Recovery time (RTO): from the
disaster to the first correct prediction. Data loss (RPO): captures that were in the lake before the disaster and are
not in it afterwards.
"""
