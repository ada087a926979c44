"""Permissions of users in organizations and repositories."""

from huaweicloudsdkswr import v2 as swr

from .harness import USER, Harness

# Users of seed.yaml, who have no rights of their own.
DEV = ("000000000000000000000000000000d1", "dev")
OPS = ("000000000000000000000000000000d2", "ops")

FORBIDDEN = (403, "SVCSTG.SWR.4030170")


def grant(user, auth):
    user_id, user_name = user
    return swr.UserAuth(user_id=user_id, user_name=user_name, auth=auth)


class Permissions(Harness):
    # Acting

    def as_dev(self):
        return self.connect("DEV", "dev-secret")

    def show_namespace_auth(self, organization, client=None):
        request = swr.ShowNamespaceAuthRequest(organization)
        return (client or self.client).show_namespace_auth(request)

    def show_repository_auth(self, organization, client=None):
        request = swr.ShowUserRepositoryAuthRequest(organization, "library$nginx")
        return (client or self.client).show_user_repository_auth(request)

    # Tests

    def test_a_user_may_do_in_an_organization_what_was_granted(self):
        organization, dev = self.new_organization(), self.as_dev()
        show = swr.ShowNamespaceRequest(organization)
        self.assert_refused(*FORBIDDEN, dev.show_namespace, show)

        body = [grant(DEV, 1), grant(OPS, 7)]
        created = self.client.create_namespace_auth(
            swr.CreateNamespaceAuthRequest(organization, body)
        )
        self.assert_empty_object(200, created)
        self.assertEqual(dev.show_namespace(show).auth, 1)
        self.assert_refused(*FORBIDDEN, self.new_repository, organization, client=dev)

        body = [grant(DEV, 3)]
        updated = self.client.update_namespace_auth(
            swr.UpdateNamespaceAuthRequest(organization, body)
        )
        self.assert_empty_object(201, updated)
        self.assertEqual(dev.show_namespace(show).auth, 3)
        self.new_repository(organization, client=dev)
        self.assertEqual(self.show_repository(organization).creator_name, "dev")

        deleted = self.client.delete_namespace_auth(
            swr.DeleteNamespaceAuthRequest(organization, [DEV[0]])
        )
        self.assert_no_content(deleted)
        self.assert_refused(*FORBIDDEN, dev.show_namespace, show)
        self.assertEqual(self.show_namespace_auth(organization).others_auths, [grant(OPS, 7)])

    def test_the_permissions_of_an_organization_are_shown_from_where_one_stands(self):
        organization = self.new_organization()
        nobody = self.show_namespace_auth(organization)
        self.assertEqual((nobody.name, nobody.creator_name), (organization, USER))
        self.assertEqual((nobody.self_auth.user_name, nobody.self_auth.auth), (USER, 7))
        self.assertEqual(nobody.others_auths, [])
        shown = self.client.show_namespace(swr.ShowNamespaceRequest(organization))
        self.assertEqual(nobody.id, shown.id)

        body = [grant(DEV, 1), grant(OPS, 3)]
        self.client.create_namespace_auth(swr.CreateNamespaceAuthRequest(organization, body))
        self.assertEqual(self.show_namespace_auth(organization).others_auths, body)
        seen = self.show_namespace_auth(organization, self.as_dev())
        # Who made the organization has a permission of the same kind.
        others = [nobody.self_auth, body[1]]
        self.assertEqual((seen.self_auth, seen.others_auths), (body[0], others))

    def test_a_faulty_permission_of_an_organization_is_refused(self):
        organization = self.new_organization()

        create = self.client.create_namespace_auth
        for code, faulty in [
            ("SVCSTG.SWR.4001065", grant(DEV, 2)),
            ("SVCSTG.SWR.4001067", grant((DEV[0], "somebody"), 1)),
        ]:
            request = swr.CreateNamespaceAuthRequest(organization, [faulty])
            self.assert_refused(400, code, create, request)
        update = self.client.update_namespace_auth
        change = swr.UpdateNamespaceAuthRequest(organization, [grant(DEV, 1)])
        self.assert_refused(404, "SVCSTG.SWR.4040078", update, change)
        delete = self.client.delete_namespace_auth
        deletion = swr.DeleteNamespaceAuthRequest(organization, [DEV[0]])
        self.assert_refused(404, "SVCSTG.SWR.4040078", delete, deletion)
        creation = swr.CreateNamespaceAuthRequest(organization, [grant(DEV, 1)])
        create(creation)
        self.assert_refused(409, "SVCSTG.SWR.4090076", create, creation)

    def test_a_user_may_do_in_a_repository_what_was_granted(self):
        organization, dev = self.new_organization_with_repository(), self.as_dev()

        def update(description):
            body = swr.UpdateRepoRequestBody(is_public=False, description=description)
            dev.update_repo(swr.UpdateRepoRequest(organization, "library$nginx", body))

        self.assert_refused(*FORBIDDEN, self.show_repository, organization, client=dev)

        body = [grant(DEV, 1), grant(OPS, 3)]
        created = self.client.create_user_repository_auth(
            swr.CreateUserRepositoryAuthRequest(organization, "library$nginx", body)
        )
        self.assert_empty_object(201, created)
        self.assertEqual(self.show_repository(organization, client=dev).name, "library/nginx")
        self.assert_refused(*FORBIDDEN, update, "not yet")

        body = [grant(DEV, 3)]
        updated = self.client.update_user_repository_auth(
            swr.UpdateUserRepositoryAuthRequest(organization, "library$nginx", body)
        )
        self.assert_empty_object(201, updated)
        update("by dev")
        self.assertEqual(self.show_repository(organization).description, "by dev")

        deleted = self.client.delete_user_repository_auth(
            swr.DeleteUserRepositoryAuthRequest(organization, "library$nginx", [DEV[0]])
        )
        self.assert_no_content(deleted)
        self.assert_refused(*FORBIDDEN, self.show_repository, organization, client=dev)
        self.assertEqual(self.show_repository_auth(organization).others_auths, [grant(OPS, 3)])

    def test_the_permissions_of_a_repository_are_shown_from_where_one_stands(self):
        organization = self.new_organization_with_repository()
        nobody = self.show_repository_auth(organization)
        self.assertEqual(nobody.name, "library/nginx")
        self.assertEqual(nobody.id, self.show_repository(organization).id)
        self.assertEqual((nobody.self_auth.user_name, nobody.self_auth.auth), (USER, 7))
        self.assertEqual(nobody.others_auths, [])

        body = [grant(DEV, 7), grant(OPS, 1)]
        request = swr.CreateUserRepositoryAuthRequest(organization, "library$nginx", body)
        self.client.create_user_repository_auth(request)
        self.assertEqual(self.show_repository_auth(organization).others_auths, body)
        seen = self.show_repository_auth(organization, self.as_dev())
        self.assertEqual((seen.self_auth, seen.others_auths), (body[0], body[1:]))

    def test_a_faulty_permission_of_a_repository_is_refused(self):
        organization = self.new_organization_with_repository()

        def request(kind, body):
            return kind(organization, "library$nginx", body)

        create = self.client.create_user_repository_auth
        creation = request(swr.CreateUserRepositoryAuthRequest, [grant(DEV, 1)])
        faulty = request(swr.CreateUserRepositoryAuthRequest, [grant(DEV, 0)])
        self.assert_refused(400, "SVCSTG.SWR.4001066", create, faulty)
        update = self.client.update_user_repository_auth
        change = request(swr.UpdateUserRepositoryAuthRequest, [grant(DEV, 1)])
        self.assert_refused(404, "SVCSTG.SWR.4040091", update, change)
        delete = self.client.delete_user_repository_auth
        deletion = request(swr.DeleteUserRepositoryAuthRequest, [DEV[0]])
        self.assert_refused(404, "SVCSTG.SWR.4040091", delete, deletion)
        create(creation)
        self.assert_refused(409, "SVCSTG.SWR.4090089", create, creation)
