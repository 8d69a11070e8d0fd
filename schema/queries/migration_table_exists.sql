SELECT to_regclass('kb.migrations') IS NOT NULL
