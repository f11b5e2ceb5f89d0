local secret = os.getenv("CALLER_SECRET")
local forwarded = { "accept", "authorization", "cookie", "x-session-token" }

local function values(header)
    local list = {}
    for index, value in pairs(header) do
        list[index + 1] = value
    end
    return list
end

local function check(txn, url)
    local request = txn.http:req_get_headers()
    local scheme = txn.f:ssl_fc() == 1 and "https" or "http"
    local url_of_client = scheme .. "://" .. txn.sf:req_hdr("host") .. txn.sf:pathq()
    local headers = {
        ["x-claimsmith-secret"] = { secret },
        ["x-original-method"] = { txn.sf:method() },
        ["x-original-url"] = { url_of_client },
    }
    for _, name in ipairs(forwarded) do
        if request[name] then
            headers[name] = values(request[name])
        end
    end
    local response = core.httpclient():get({ url = url, headers = headers, timeout = 3000 })
    for name, list in pairs(response.headers or {}) do
        txn:set_var("txn.claimsmith." .. name:gsub("%W", "_"), list[0])
    end
    txn:set_var("txn.check_status", response.status)
end

core.register_action("claimsmith", { "http-req" }, check, 1)
