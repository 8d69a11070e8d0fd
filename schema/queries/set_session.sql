-- No statement of ours is worth compiling: that takes longer than running it, and is done for an estimate that is off.
SELECT set_config('jit', 'off', false)
