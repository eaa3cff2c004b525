"""The tokens of GitHub Actions: their issuer, and the subject that a stack trusts."""

from __future__ import annotations

ISSUER = "https://token.actions.githubusercontent.com"
TEMPLATE = ("repo", "context", "ref")
"""The ``include_claim_keys`` of a repository whose subjects name the branch beside the environment."""


def github_subject(
    repository: str, branch: str, environment: str | None, *, branch_in_subject: bool = False
) -> str:
    """The ``sub`` of the tokens of one repository's branch or, if there is one, of its environment.

    The token of a job in an environment names the environment in place of the branch. Then GitHub's
    own rule limits the branches: "Deployment branches and tags" in the environment's settings.
    https://docs.github.com/actions/reference/security/oidc#example-subject-claims
    With ``branch_in_subject`` the repository's tokens name it as well: it has the template of claims `TEMPLATE`.
    https://docs.github.com/actions/reference/security/oidc#customizing-the-subject-claims-for-an-organization-or-repository
    Repositories that were created, renamed or transferred since 15 July 2026 have their ids in the
    subject, and so have older ones that opted in: ``repo:owner@123/name@456:…``. The clouds compare
    the whole text, so the setting decides the form. The other form is not trusted as well: somebody
    else can take over a name, but not an id.
    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/
    """
    ref = f"ref:refs/heads/{branch}"
    context = f"environment:{environment}" if environment else ref
    return f"repo:{repository}:{context}" + (f":{ref}" if branch_in_subject else "")
