--[[
Asks Sluice about each mail. Promises: SLUICE_SPAM or SLUICE_HAM only where Sluice gave a verdict, with a weight that
grows with its certainty; on any error, without an opinion or while it is learning there is no symbol and the mail goes
its way. Header lines `X-Sluice` that a mail brought along are removed.

Put it into /etc/rspamd/plugins.d/sluice.lua and the section `sluice` of sluice.conf into /etc/rspamd/rspamd.conf.local.
]]
local lua_mime = require "lua_mime"
local rspamd_http = require "rspamd_http"
local rspamd_logger = require "rspamd_logger"
local ucl = require "ucl"

local N = "sluice"
local HEADER = "X-Sluice"
local settings = {
  url = "http://127.0.0.1:8088/api/classify",
  token = "",
  deadline = 2000,
  spam_score = 5.0,
  ham_score = -1.0,
  header = true,
  max_size = 50 * 1024 * 1024,
}

local given = rspamd_config:get_all_opt(N)
if type(given) ~= "table" then
  return
end
for key, value in pairs(given) do
  settings[key] = value
end

-- Words of the line are separated by `; `: whatever could break it is percent-encoded.
local function word(text)
  return (tostring(text):gsub("[^%w:/+._@=-]", function(c)
    return string.format("%%%02X", c:byte())
  end):sub(1, 512))
end

local function line_of(verdict)
  local parts = {}
  if type(verdict.label) == "string" then
    parts[#parts + 1] = word(verdict.label)
    parts[#parts + 1] = string.format("score=%.6f", verdict.score)
  else
    parts[#parts + 1] = "learning"
  end
  if type(verdict.action) == "string" then
    parts[#parts + 1] = "action=" .. word(verdict.action)
  end
  parts[#parts + 1] = "event=" .. word(verdict.event)
  parts[#parts + 1] = "model=" .. word(verdict.model)
  return table.concat(parts, "; ")
end

-- Removes what came from outside and adds ours, in one order: the second would not replace the first.
local function write_header(task, line)
  if not settings.header then
    return
  end
  local changes = { remove = { [HEADER] = 0 } }
  if line then
    changes.add = { [HEADER] = { value = line, order = -1 } }
  end
  lua_mime.modify_headers(task, changes)
end

local function verdict_of(err, code, body)
  if err then
    return nil, err
  end
  if code ~= 200 then
    return nil, string.format("HTTP %s: %s", code, tostring(body):sub(1, 200))
  end
  local parser = ucl.parser()
  local ok, why = parser:parse_string(tostring(body))
  if not ok then
    return nil, why
  end
  local verdict = parser:get_object()
  if type(verdict) ~= "table" or type(verdict.event) ~= "string" then
    return nil, "no verdict"
  end
  return verdict
end

local function check(task)
  local function answered(err, code, body)
    local verdict, why = verdict_of(err, code, body)
    if not verdict then
      rspamd_logger.infox(task, "sluice has no opinion: %s", why)
      return write_header(task, nil)
    end
    write_header(task, line_of(verdict))
    local score = tonumber(verdict.score)
    if type(verdict.label) ~= "string" or not score then
      return
    end
    local text = string.format("%s %.4f", verdict.label, score)
    if verdict.action == "tag" or verdict.action == "hold" then
      task:insert_result("SLUICE_" .. verdict.action:upper(), 1.0, text)
    end
    -- `score` is the probability of spam: nothing at one half, everything at the ends.
    local certainty = math.min(1, math.abs(2 * score - 1))
    -- Allow-lists and known correspondents come first.
    local trusted = verdict.reason == "allowed" or verdict.reason == "correspondent"
    local symbol = score >= 0.5 and "SLUICE_SPAM" or "SLUICE_HAM"
    if symbol == "SLUICE_HAM" or not trusted then
      task:insert_result(symbol, certainty, text)
    end
  end

  if task:get_size() > settings.max_size then
    return write_header(task, nil)
  end
  local asked = rspamd_http.request({
    task = task,
    url = settings.url,
    method = "post",
    mime_type = "message/rfc822",
    headers = {
      ["Authorization"] = "Bearer " .. settings.token,
      ["Sluice-Deadline-Ms"] = tostring(settings.deadline),
    },
    body = task:get_content(),
    timeout = settings.deadline / 1000 + 0.5,
    keepalive = true,
    callback = answered,
  })
  if not asked then
    write_header(task, nil)
  end
end

local id = rspamd_config:register_symbol({
  name = "SLUICE_CHECK",
  type = "callback",
  callback = check,
  group = N,
  score = 0.0,
})
for name, symbol in pairs({
  SLUICE_SPAM = { settings.spam_score, "Sluice takes this for spam" },
  SLUICE_HAM = { settings.ham_score, "Sluice takes this for a good mail" },
  SLUICE_TAG = { 0.0, "Above the threshold `tag`, by which one good mail in a thousand is lost at most" },
  SLUICE_HOLD = { 0.0, "Above the threshold `hold`, where it is switched on" },
}) do
  rspamd_config:register_symbol({
    name = name,
    type = "virtual",
    parent = id,
    group = N,
    score = symbol[1],
    description = symbol[2],
  })
end
