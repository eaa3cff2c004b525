"""Who signs the tokens of GitHub Actions, and the subject that a stack trusts."""

from __future__ import annotations

GITHUB = "https://token.actions.githubusercontent.com"
"""Who signs the tokens of GitHub Actions."""


def github_subject(repository: str, branch: str, environment: str | None) -> str:
    """The ``sub`` of the tokens of one repository's branch or, where there is one, environment.

    A job in an environment has it in the place of the branch, which is then the environment's own
    rule to hold: "Deployment branches and tags" in GitHub's settings.
    https://docs.github.com/actions/reference/security/oidc#example-subject-claims
    Repositories made, renamed or transferred since 15 July 2026 have their ids in it, and the older
    ones that were asked to: ``repo:owner@123/name@456:…``. The clouds compare word for word, so
    which form it is must be said, and the other one is not let in beside it: a name can be taken
    over, an id cannot.
    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/
    """
    within = f"environment:{environment}" if environment else f"ref:refs/heads/{branch}"
    return f"repo:{repository}:{within}"
