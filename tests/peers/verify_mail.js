// Verifies the DKIM signatures of mails with mailauth, an independent verifier.
// Standard input is a JSON array of mails in base64; the argument is a JSON object of DNS names and
// their TXT records; nothing is looked up elsewhere. Prints a JSON array: for each mail the list of
// its signatures, each with domain, algorithm, result, and signed headers.
const { authenticate } = require("mailauth");

const records = JSON.parse(process.argv[2]);

async function resolver(name, type) {
  if (type === "TXT" && records[name]) return [[records[name]]];
  const error = new Error(`no ${type} record of ${name}`);
  error.code = "ENOTFOUND";
  throw error;
}

async function verify(mail) {
  const { dkim } = await authenticate(Buffer.from(mail, "base64"), {
    ip: "127.0.0.1", helo: "localhost", sender: "news@mail.example.org", resolver,
    disableArc: true, disableDmarc: true, disableBimi: true,
  });
  return dkim.results.map((one) => ({
    domain: one.signingDomain, algorithm: one.algo, result: one.status.result,
    comment: one.status.comment || "", headers: one.signingHeaders && one.signingHeaders.keys,
  }));
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", async () => {
  const mails = JSON.parse(Buffer.concat(chunks).toString());
  console.log(JSON.stringify(await Promise.all(mails.map(verify))));
});
