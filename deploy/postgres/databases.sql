-- Beside the record's own database: one for Dagster's runs, one for MLflow's registry.
CREATE DATABASE dagster;
CREATE DATABASE mlflow;
