"""From what people have to a project: folders of scripts, and workbooks of old answers.

Scripts are read and never run: shell scripts by a reader of their words, Python by its syntax tree. What a script says
and this package does not understand is named, and nothing is guessed from it. Old answers are judged like new ones and
recorded as a run of their own kind, which no gate, blessing or training takes for an engine's.

    shell, training_scripts, hyperparameters    a script that trains -> versions and recipes
    inference                                   a script that generates -> model, decoding, system prompt
    answers, answer_files                       files of old answers -> rows
    recorded                                    rows and cases -> a recorded run
    legacy, plan                                a folder of all that -> the files of a project
"""
