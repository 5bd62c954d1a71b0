"""The console over WSGI."""


def test_the_probe_answers_one_word(client):
    answer = client.get("healthz")
    assert answer.status in (200, 503)
    assert len(answer.text.split()) == 1


def test_an_unknown_path_is_a_problem_in_the_form_of_its_place(client):
    assert client.get("nothing").headers["content-type"].startswith("text/html")
    problem = client.get("api/v1/nothing")
    assert (problem.status, problem.json["title"]) == (404, "No such page")
    assert problem.headers["content-type"] == "application/problem+json"
