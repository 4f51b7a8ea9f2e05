"""What entries of the provisioning log usually say: the dictionary that their rows are compressed with.

Stored rows cannot be read without it, so that it is never changed; a better one gets a format of its own in
`journal_rows`. What is said most stands at the end, where it is found nearest.
"""

from typing import Final

WORDS: Final = "".join(
    (
        '["InternalServerError","the application answered HTTP 500',
        '["Conflict","the application answered HTTP 409: ","nonServiceFailure","Change the value that is taken, here or'
        ' in the application, or match on another attribute."],',
        '["UnprocessableEntity","the application answered HTTP 400: ","Read the application\'s message; correct the'
        ' value or the mapping."],',
        '["InvalidAnchor","Restore the account in the application, or delete the object connection to match anew."],',
        '["UnableToResolveReferenceAttributeValue","unable to assign  as the members of ",null,"nonServiceFailure",'
        'null],["EntrySynchronizationUpdate","referenceResolution","warning","unable to assign  as the manager of'
        ' : not in scope",{"ErrorCode":"UnableToResolveReferenceAttributeValue"}],',
        "groups inside of groups are not provisioned",
        '["TooManyDeletes","would be deleted; would be disabled; that is held back until an administrator allows it,'
        ' because the cycle would take access from too many",null,"nonServiceFailure","Look at what is held back, then'
        ' allow it, or put right what caused it."],{"SkipReason":"TooManyDeletes"}',
        "permanently deleted from the directory; ",
        "deleted in the directory; it can be restored for 30 days",
        "the scoping filter is not passed",
        '["EntrySynchronizationDelete","matching","success","Group \'\' will be deleted: ",{}],["EntryExportDelete",'
        '"export","success"," was deleted in ",{"ReportableIdentifier":"',
        '["EntryImportDelete","import","success","Received Group \'\' change of type (Delete) from ',
        '{"Active in the source system":"False","Assigned to the application":"True","Scope sync all":"False",'
        '"User has the required role":"True","Scoping filter evaluation passed":"False"',
        '["NotEffectivelyEntitled","not active in the directory: the account is disabled",null,"nonServiceFailure",',
        '["NotEffectivelyEntitled","not assigned to the application: assign the object, or change the scope to all'
        ' users and groups",null,"nonServiceFailure","Assign the object, or change the scope or the filter, if it'
        ' should be provisioned."],[["EntryImportUpdate","import","success","Received User \'',
        '["EntrySynchronizationScoping","scoping","skipped","Determine if User in scope by evaluating against each'
        " scoping filter: not assigned to the application: assign the object, or change the scope to all users and"
        ' groups",{"Active in the source system":"True","Assigned to the application":"False","Scope sync all":"False",'
        '"User has the required role":"False","Scoping filter evaluation passed":"True","ScopeEvaluationResult":"{}"}],'
        '["EntrySynchronizationSkip","export","skipped","not assigned to the application: assign the object, or change'
        ' the scope to all users and groups",{"SkipReason":"NotEffectivelyEntitled"}]],[],["',
        '["RedundantExport","User \'\' already has the wanted values in the target",null,"nonServiceFailure",null],'
        '{"SkipReason":"RedundantExport"}]],[],["',
        '["EntrySynchronizationUpdate","matching","success","User \'\' will be disabled: ',
        '["EntryImport","matching","success","The linked target object was read",{"id":"',
        '["EntrySynchronizationUpdate","matching","success","User \'\' will be updated: differ",{}],'
        '["EntryExportUpdate","export","success","User \'\' was updated in ',
        '["EntryExportUpdate","export","success","Group \'\': members added in ,{}]],',
        ': manager was set in ALVAO",{}]],',
        '[["EntryImportAdd","import","success","Received Group \'\' change of type (Add) from Azure Active Directory",'
        '{"objectId":"\x01","accountEnabled":"True"}],["EntrySynchronizationScoping","scoping","success","Determine if'
        ' Group in scope by evaluating against each scoping filter: in scope",',
        '["","Group",null],["","urn:ietf:params:scim:schemas:core:2.0:Group"]]',
        '["members",null,"',
        '@example.com"],["addresses[type eq \\"work\\"].formatted",null,"',
        '"],["addresses[type eq \\"work\\"].locality",null,"',
        '"],["addresses[type eq \\"work\\"].region",null,"',
        '"],["addresses[type eq \\"work\\"].country",null,"',
        '"],["addresses[type eq \\"work\\"].postalCode",null,"',
        '"],["addresses[type eq \\"work\\"].streetAddress",null,"',
        '"],["phoneNumbers[type eq \\"work\\"].value",null,"+',
        '"],["phoneNumbers[type eq \\"mobile\\"].value",null,"+',
        '"],["phoneNumbers[type eq \\"fax\\"].value",null,"+',
        '"],["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",null,"',
        '"],["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization",null,"',
        '"],["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",null,"',
        '"],["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",null,"',
        '"],["preferredLanguage",null,"en-US"],["nickName",null,"',
        '[0,null,[["EntryImportUpdate","import","success","Received User \'\' change of type (Update) from Azure Active'
        ' Directory",{"objectId":"\x01","accountEnabled":"True"}],',
        '[["EntryImportAdd","import","success","Received User \'\' change of type (Add) from Azure Active Directory",'
        '{"objectId":"\x01","accountEnabled":"True"}],["EntrySynchronizationScoping","scoping","success","Determine if'
        ' User in scope by evaluating against each scoping filter: in scope",{"Active in the source system":"True",'
        '"Assigned to the application":"True","Scope sync all":"False","User has the required role":"True",'
        '"Scoping filter evaluation passed":"True","ScopeEvaluationResult":"{}"}],["EntryImport","matching","success",'
        '"Searched the target for \'\' by displayName: 0 found",{"displayName":"\' by externalId: 0 found",'
        '{"externalId":"\x01"}],["EntryImport","matching","success","Searched the target for \'\' by userName: 0'
        ' found",'
        '{"userName":""}],["EntrySynchronizationAdd","matching","success","User \'\' will be created: it is'
        ' active, assigned, and has no match in the target",{}],["EntryExportAdd","export","success","User \'\' was'
        " created in"
        ' ALVAO",{"ReportableIdentifier":"',
        '"}]],[["userName",null,"',
        '"],["externalId",null,"\x01"],["active",null,"True"],["displayName",null,"',
        '"],["title",null,"',
        '"],["emails[type eq \\"work\\"].value",null,"',
        '"],["name.givenName",null,"',
        '"],["name.familyName",null,"',
        '"],["name.formatted",null,"',
        '"]],["","User","@"],["","@","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]]',
    )
).encode()
WORDS_OF_REQUESTS: Final = "".join(
    (
        '{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"',
        '\x02["GET","/Users?filter=userName eq \\"",200,null,null,{"schemas":["urn:ietf:params:scim:api:messages:2.0:'
        'ListResponse"],"totalResults":0,"startIndex":1,"itemsPerPage":0,"Resources":[]}]',
        '\x02["POST","/Groups",201,null,{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":\x04,'
        '"externalId":\x05},{"id":"\x03"}]\x02["PATCH","/Groups/\x03",204,null,{"schemas":["urn:ietf:params:scim:api:'
        'messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"members","value":[{"value":"',
        '"},"… 97 more"]}]},null]',
        '\x02["PATCH","/Users/\x03",200,null,{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":'
        '[{"op":"replace","path":"active","value":false},{"op":"replace","path":"title","value":\x04}]},null]',
        '\x02["POST","/Users",201,null,{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:'
        'schemas:extension:enterprise:2.0:User"],"userName":\x04,"externalId":\x05,"active":true,"displayName":\x07,'
        '"title":\x08,"emails":[{"type":"work","value":\x04}],"name":{"givenName":\x0a,"familyName":\x0b,"formatted":'
        '\x0c},"addresses":[{"type":"work","formatted":\x0d,"locality":\x0e,"region":\x0f,"country":\x10,'
        '"postalCode":\x11,"streetAddress":\x12}],"phoneNumbers":[{"type":"work","value":\x13},{"type":"mobile",'
        '"value":\x14}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":\x15,'
        '"organization":\x16,"department":\x17}},{"id":"\x03"}]\x02["PATCH","/Users/\x03",200,null,{"schemas":["urn:'
        'ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"urn:ietf:params:scim:schemas:'
        'extension:enterprise:2.0:User:manager","value":{"value":"',
        '"}}]},null]',
    )
).encode()
"""What requests usually say; comes after `WORDS`."""
