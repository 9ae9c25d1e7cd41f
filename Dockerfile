# Builds and runs openvidu-server; every build step is a make target.
#
#   docker run -p 4443:4443 -p 40000:40000/udp -p 40000:40000/tcp -p 3478:3478/udp govidu
#   docker run -e DOMAIN_OR_PUBLIC_IP=video.example.com -e OPENVIDU_SECRET=... \
#     --network host -v recordings:/opt/openvidu/recordings -v state:/var/lib/govidu govidu
FROM golang:1.26-bookworm AS build
ARG VERSION=development
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY scripts ./scripts
RUN scripts/install.sh gcc gstreamer node
COPY . .
RUN make web build worker VERSION="${VERSION}"

FROM debian:12-slim
# What the media worker loads: codecs, filters, faces, codes.
COPY scripts/install.sh /usr/local/lib/govidu/install.sh
RUN /usr/local/lib/govidu/install.sh gstreamer-runtime \
 && rm -rf /var/lib/apt/lists/* /usr/local/lib/govidu
RUN groupadd --system --gid 10001 govidu \
 && useradd --system --uid 10001 --gid govidu --home-dir /var/lib/govidu --shell /usr/sbin/nologin govidu \
 && install -d -o govidu -g govidu /var/lib/govidu /opt/openvidu /opt/openvidu/recordings /recordings
COPY --from=build /src/bin/openvidu-server /src/bin/kms /src/bin/ovctl /src/bin/mediaworker /usr/local/bin/
COPY --from=build /src/LICENSE /usr/share/doc/govidu/LICENSE
USER 10001:10001
ENV HOME=/var/lib/govidu
WORKDIR /
VOLUME ["/var/lib/govidu", "/opt/openvidu/recordings", "/recordings"]
# 443 with a domain, 4443 in developer mode, 40000 media, 3478 STUN.
EXPOSE 443/tcp 4443/tcp 40000/tcp 40000/udp 3478/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["ovctl", "health"]
ENTRYPOINT ["openvidu-server"]
