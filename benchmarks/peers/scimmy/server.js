// SCIMMY behind Express as its documentation sets it up. The library leaves storing to the application: here in memory,
// with an index for each attribute that an application would index. Usage: node server.js PORT
import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const INDEXED = { userName: (name) => name.toLowerCase(), externalId: (id) => id, displayName: (name) => name };

class Store {
    constructor() {
        this.resources = new Map();
        this.indexes = Object.fromEntries(Object.keys(INDEXED).map((attribute) => [attribute, new Map()]));
    }

    change(previous, next) {
        for (const [attribute, fold] of Object.entries(INDEXED)) {
            const index = this.indexes[attribute];
            if (previous?.[attribute] !== undefined) index.get(fold(previous[attribute]))?.delete(previous.id);
            if (next?.[attribute] === undefined) continue;
            const key = fold(next[attribute]);
            if (!index.has(key)) index.set(key, new Set());
            index.get(key).add(next.id);
        }
        if (next) this.resources.set(next.id, next);
        else this.resources.delete(previous.id);
    }

    write(resource, data) {
        const previous = resource.id === undefined ? undefined : this.find(resource.id);
        const taken = data.userName && this.indexes.userName.get(INDEXED.userName(data.userName));
        if (taken && [...taken].some((id) => id !== resource.id)) throw new SCIMMY.Types.Error(409, "uniqueness", "taken");
        const now = new Date().toISOString();
        const meta = { created: previous?.meta.created ?? now, lastModified: now };
        const next = { ...JSON.parse(JSON.stringify(data)), id: resource.id ?? randomUUID(), meta };
        this.change(previous, next);
        return next;
    }

    read(resource) {
        if (resource.id !== undefined) return this.find(resource.id);
        if (resource.filter) return this.search(resource.filter);
        const { startIndex = 1, count = 20 } = resource.constraints ?? {};
        const page = [...this.resources.values()].slice(startIndex - 1, startIndex - 1 + count);
        resource.constraints = { ...resource.constraints, totalResults: this.resources.size };
        return page;
    }

    search(filter) {
        const terms = filter.length === 1 ? Object.entries(filter[0]) : [];
        const [attribute, comparison] = terms.length === 1 ? terms[0] : [];
        if (!INDEXED[attribute] || comparison[0] !== "eq") return filter.match([...this.resources.values()]);
        const ids = this.indexes[attribute].get(INDEXED[attribute](comparison[1])) ?? [];
        return [...ids].map((id) => this.resources.get(id));
    }

    find(id) {
        const found = this.resources.get(id);
        if (!found) throw new SCIMMY.Types.Error(404, null, `there is no ${id}`);
        return found;
    }

    remove(resource) {
        this.change(this.find(resource.id), undefined);
    }
}

function declare(Resource) {
    const store = new Store();
    Resource.ingress((resource, data) => store.write(resource, data));
    Resource.egress((resource) => store.read(resource));
    Resource.degress((resource) => store.remove(resource));
    SCIMMY.Resources.declare(Resource);
}

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
declare(SCIMMY.Resources.User);
declare(SCIMMY.Resources.Group);
SCIMMY.Config.set({ bulk: { maxOperations: 1000, maxPayloadSize: 16 * 2 ** 20 } });

const authorization = `Bearer ${process.env.SCIM_TOKEN}`;
const handler = (request) => {
    if (request.header("Authorization") !== authorization) throw new Error("a token is required");
    return "benchmark";
};
express().use("/scim", new SCIMMYRouters({ type: "bearer", handler })).listen(Number(process.argv[2]), "127.0.0.1");
