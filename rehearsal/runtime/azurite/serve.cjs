// Azurite's blob service with two properties that the rehearsal needs and Azurite has not:
// an answered write survives kill -9, and accounts come and go without a restart.
// Arguments are those of `azurite-blob`; ACCOUNTS_FILE names a JSON file {account: base64 key}.
"use strict";
const fs = require("node:fs");
const http = require("node:http");

// Azurite keeps its metadata in LokiJS, which writes it to disk every five seconds
// (LokiBlobMetadataStore.ts, autosaveInterval). Keep hold of the databases it opens ...
const Loki = require("lokijs");
const databases = [];
require.cache[require.resolve("lokijs")].exports = class extends Loki {
  constructor(...args) {
    super(...args);
    databases.push(this);
  }
};

function saved(database) {
  if (!database.autosaveDirty() && !database.throttledSavePending) return undefined;
  return new Promise((resolve, reject) => {
    database.saveDatabase((error) => (error ? reject(error) : resolve()));
  });
}

// ... and end the answer to a write only when they are on disk. Saves that overlap share one write.
const end = http.ServerResponse.prototype.end;
http.ServerResponse.prototype.end = function (...args) {
  const reads = this.req.method === "GET" || this.req.method === "HEAD";
  const saves = reads ? [] : databases.map(saved).filter(Boolean);
  if (saves.length === 0) return end.apply(this, args);
  Promise.all(saves).then(
    () => end.apply(this, args),
    (error) => this.destroy(error),
  );
  return this;
};

// Azurite reads its accounts from an environment variable, once a minute (AccountDataStore.ts).
// Here they are read from a file whenever it has changed; blobs of an account gone from it go too.
const accounts = { stamp: undefined, byName: {} };

function refresh() {
  const { mtimeMs, ino, size } = fs.statSync(process.env.ACCOUNTS_FILE);
  const stamp = `${mtimeMs} ${ino} ${size}`;
  if (stamp === accounts.stamp) return;
  accounts.stamp = stamp;
  accounts.byName = {};
  const keys = JSON.parse(fs.readFileSync(process.env.ACCOUNTS_FILE, "utf8"));
  for (const [name, key] of Object.entries(keys)) {
    accounts.byName[name] = { name, key1: Buffer.from(key, "base64") };
  }
  for (const collection of databases.flatMap((database) => database.collections)) {
    collection.removeWhere(
      (item) => item.accountName !== undefined && !(item.accountName in keys),
    );
  }
}

const AccountDataStore = require("azurite/dist/src/common/AccountDataStore").default;
AccountDataStore.prototype.refresh = refresh;
AccountDataStore.prototype.getAccount = (name) => {
  refresh();
  return accounts.byName[name];
};

require("azurite/dist/src/blob/main");
