"""`lockstep report --comment` against a server that holds every request against GitHub's published OpenAPI description."""

import unittest

import support

DATA = support.SOURCE / "reports" / "testdata"


class CommentTest(support.GateTest):
    def comment(self, github, *words, **more):
        return support.run([support.PROGRAM, "report", "--comment", "--pull-request", 12, "--repository", "acme/pipelines", *words], self.folder, check=False,
                           GITHUB_API_URL=github.url, GITHUB_TOKEN="t0ken", GITHUB_SHA="f" * 40, GITHUB_REPOSITORY="acme/pipelines", **more)

    def test_created_updated_left_alone(self):
        with support.GitHub() as github:
            first = self.comment(github, DATA / "lint.json")
            self.assertEqual((first.returncode, first.stdout[:8]), (0, "created "), first.stderr)
            second = self.comment(github, DATA / "lint.json", DATA / "replay.json")
            self.assertEqual((second.returncode, second.stdout[:8]), (0, "updated "), second.stderr)
            third = self.comment(github, DATA / "lint.json", DATA / "replay.json")
            self.assertEqual((third.returncode, third.stdout[:10]), (0, "unchanged "), third.stderr)
            self.assertEqual(github.violations, [])
            self.assertEqual(len(github.comments), 1)
            text = github.comments[1000]
            self.assertTrue(text.startswith("<!-- lockstep-determinism -->"))
            self.assertIn("rec/diamond.json", text)
            self.assertIn(f"/blob/{'f' * 40}/plans/orders.json#L", text)

    def test_the_server_would_refuse_what_github_refuses(self):
        with support.GitHub() as github:
            import jsonschema
            headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "x", "Authorization": "Bearer x", "Content-Type": "application/json"}
            for method, path, body in (("POST", "/repos/o/r/issues/1/comments", '{"text": "x"}'), ("POST", "/repos/o/r/issues/x/comments", '{"body": "x"}'),
                                       ("PUT", "/repos/o/r/issues/1/comments", '{"body": "x"}'), ("GET", "/repos/o/r/issues/1/comments?page=x", ""), ("GET", "/repos/o/r/issues/1/comments?pages=1", "")):
                self.assertEqual(github.answer(method, path, headers, body, jsonschema)[0], 422, path)

    def test_without_permission_the_report_is_a_file(self):
        with support.GitHub() as github:
            github.permitted = False
            done = self.comment(github, DATA / "lint.json")
            self.assertEqual(done.returncode, 4, done.stdout)
            self.assertIn("COMMENT_NOT_PERMITTED", done.stderr)
            self.assertIn("pull-requests: write", done.stderr)
            self.assertNotIn("t0ken", done.stderr)
            self.assertTrue((self.folder / "lockstep-report.md").read_text(encoding="utf-8").startswith("<!-- lockstep-determinism -->"))
            self.assertEqual(github.comments, {})

    def test_the_second_job_posts_only_where_the_head_is_right_and_only_reports(self):
        with support.GitHub(head_sha="a" * 40) as github:
            body = self.put(self.folder, "report.md", "<!-- lockstep-determinism -->\n## fine\n")
            self.assertEqual(self.comment(github, "--body", body, "--head-sha", "b" * 40).returncode, 2)
            self.assertEqual(github.comments, {})
            self.assertEqual(self.comment(github, "--body", body, "--head-sha", "a" * 40).returncode, 0)
            self.assertEqual(list(github.comments.values()), ["<!-- lockstep-determinism -->\n## fine\n"])
            self.put(self.folder, "report.md", "buy now")
            self.assertEqual(self.comment(github, "--body", body, "--head-sha", "a" * 40).returncode, 3)
            self.assertEqual(github.violations, [])


if __name__ == "__main__":
    unittest.main()
