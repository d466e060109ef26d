"""From what people have to a project: folders of scripts, and workbooks of old answers.

Scripts are read and never run: shell scripts by a reader of their words, Python by its syntax tree. What a script says
and this package does not understand is named, and nothing is guessed from it. Old answers are judged like new ones and
recorded as a run of their own kind, which no gate, blessing or training takes for an engine's.

    shell_tokens, shell, training_scripts       a shell script -> trainings with their arguments
    hyperparameters                             arguments -> a recipe
    python_values, inference                    a Python script -> model, adapters, decoding, system prompt
    answers                                     files of old answers -> rows
    recorded, importing                         rows and cases -> recorded runs and their reports
    legacy, plan, project                       a folder of all that -> the files of a project
"""
