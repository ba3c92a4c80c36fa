import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import java.nio.charset.StandardCharsets;

/** An HTTP server on Netty's NIO transport. */
public class NettyServer {
    static class Hello extends SimpleChannelInboundHandler<FullHttpRequest> {
        @Override
        protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
            byte[] text = ("Hello from Netty, you asked for " + request.uri() + "\n").getBytes(StandardCharsets.UTF_8);
            FullHttpResponse response = new DefaultFullHttpResponse(
                    HttpVersion.HTTP_1_1, HttpResponseStatus.OK, Unpooled.wrappedBuffer(text));
            response.headers().set(HttpHeaderNames.CONTENT_LENGTH, text.length);
            boolean stays = HttpUtil.isKeepAlive(request);
            HttpUtil.setKeepAlive(response, stays);
            var written = context.writeAndFlush(response);
            if (!stays) {
                written.addListener(ChannelFutureListener.CLOSE);
            }
        }
    }

    public static void main(String[] args) throws InterruptedException {
        EventLoopGroup acceptors = new NioEventLoopGroup(1);
        EventLoopGroup workers = new NioEventLoopGroup();
        try {
            var server = new ServerBootstrap().group(acceptors, workers).channel(NioServerSocketChannel.class)
                    .childHandler(new ChannelInitializer<SocketChannel>() {
                        @Override
                        protected void initChannel(SocketChannel channel) {
                            channel.pipeline().addLast(
                                    new HttpServerCodec(), new HttpObjectAggregator(1 << 20), new Hello());
                        }
                    }).bind(8080).sync();
            System.out.println("NettyServer is ready");
            server.channel().closeFuture().sync();
        } finally {
            workers.shutdownGracefully();
            acceptors.shutdownGracefully();
        }
    }
}
