-- Tries to run on without a call.
-- Ends: timeout
::top::
goto top
